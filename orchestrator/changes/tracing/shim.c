/* Tells which files below one folder a program asks for, by standing between it and its libc.
 *
 * Preloaded (ld.so(8), LD_PRELOAD), it overrides what takes a path, writes a record to a file, and
 * calls the real function. A record is one letter for the call, the path as far as it could be made
 * absolute, and a NUL:
 *
 *   o  a file or folder is opened     s  its type is asked for (stat, access)
 *   l  a symbolic link is read
 *
 * Two variables are needed: ORCHESTRATOR_TRACE_LOG, a file that is there, and
 * ORCHESTRATOR_TRACE_NAME, the folder's name, which is unlike any other's: paths with it in them are
 * recorded, whatever lies before it. A record that cannot be written ends the program (exit 125):
 * an incomplete log must never look like a complete one.
 *
 * Linked without libc, so that it loads into a program whose libc is another or an older one.
 * Headers that declare the functions below are not used: their prototypes differ between libcs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>

#define PATH_LIMIT 4096 /* PATH_MAX, the kernel's limit: a longer path is refused for its length */
#define HIGH_FD 900     /* out of the way of a program that closes or counts on low ones */
#define LOST 125

extern char *getenv(const char *);
extern size_t strlen(const char *);
extern char *strstr(const char *, const char *);
extern void *memcpy(void *, const void *, size_t);

static const char *name; /* of the folder; NULL until the first call */
static int log_fd = -1;

static long kernel(long number, long a, long b, long c, long d)
{
	static long (*real)(long, ...);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return real(number, a, b, c, d);
}

static void give_up(const char *why)
{
	static const char intro[] = "orchestrator's tracer: ";
	kernel(SYS_write, 2, (long)intro, sizeof intro - 1, 0);
	kernel(SYS_write, 2, (long)why, (long)strlen(why), 0);
	kernel(SYS_write, 2, (long)"\n", 1, 0);
	for (;;)
		kernel(SYS_exit_group, LOST, 0, 0, 0);
}

static void *real_function(const char *symbol)
{
	void *found = dlsym(RTLD_NEXT, symbol);
	if (!found)
		give_up(symbol);
	return found;
}

static void start(void)
{
	const char *file = getenv("ORCHESTRATOR_TRACE_LOG");
	const char *wanted = getenv("ORCHESTRATOR_TRACE_NAME");
	if (!file || !wanted || !*wanted)
		give_up("its variables are not set");
	long fd = kernel(SYS_openat, AT_FDCWD, (long)file, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
	long high = fd < 0 ? -1 : kernel(SYS_fcntl, fd, F_DUPFD_CLOEXEC, HIGH_FD, 0);
	if (high >= 0) {
		kernel(SYS_close, fd, 0, 0, 0);
		fd = high;
	}
	if (fd < 0)
		give_up("its log cannot be opened");
	log_fd = (int)fd;
	name = wanted;
}

/* One write, so that records of several threads and processes never mix. */
static void record(char *text, size_t size)
{
	if (kernel(SYS_write, log_fd, (long)text, (long)size, 0) != (long)size)
		give_up("a record cannot be written");
}

/* Put the folder that a relative path starts at into a buffer; 0 where there is none. */
static size_t base_of(int dirfd, char *into)
{
	if (dirfd == AT_FDCWD) {
		long size = kernel(SYS_getcwd, (long)into, PATH_LIMIT, 0, 0);
		if (size < 1)
			give_up("the current folder is not known");
		return (size_t)size - 1;
	}
	char link[32] = "/proc/self/fd/", digits[12];
	size_t at = strlen(link), count = 0;
	if (dirfd < 0)
		return 0;
	do
		digits[count++] = (char)('0' + dirfd % 10);
	while ((dirfd /= 10));
	while (count)
		link[at++] = digits[--count];
	link[at] = 0;
	long size = kernel(SYS_readlinkat, AT_FDCWD, (long)link, (long)into, PATH_LIMIT);
	if (size < 0 && errno != ENOENT)
		give_up("a file descriptor's path is not known");
	return size < 0 ? 0 : (size_t)size; /* it is not open: the call itself will fail */
}

static void note(char call, int dirfd, const char *path)
{
	char text[2 * PATH_LIMIT + 4];
	size_t at = 1, size;
	int saved = errno;
	if (!name)
		start();
	if (!path || (size = strlen(path)) >= PATH_LIMIT)
		goto done;
	if (path[0] != '/') {
		size_t base = base_of(dirfd, text + at);
		if (!base)
			goto done;
		at += base;
		if (size)
			text[at++] = '/';
	}
	text[0] = call;
	memcpy(text + at, path, size + 1);
	if (strstr(text + 1, name))
		record(text, at + size + 1);
done:
	errno = saved;
}

__attribute__((constructor)) static void constructor(void)
{
	if (!name)
		start();
}

/* Override a function: note the path that it is asked for, then let the real one do the work. */
#define TRACE(type, function, parameters, arguments, call, dirfd, path) \
	type function parameters                                        \
	{                                                               \
		static type(*real) parameters;                          \
		if (!real)                                              \
			real = (type(*) parameters)real_function(#function); \
		note(call, dirfd, path);                                \
		return real arguments;                                  \
	}

/* The mode is there only with O_CREAT; the kernel ignores it otherwise, whatever it holds. */
#define TRACE_OPEN(function)                                                      \
	int function(const char *path, int flags, ...)                            \
	{                                                                         \
		static int (*real)(const char *, int, ...);                       \
		va_list rest;                                                     \
		va_start(rest, flags);                                            \
		unsigned mode = va_arg(rest, unsigned);                           \
		va_end(rest);                                                     \
		if (!real)                                                        \
			real = (int (*)(const char *, int, ...))real_function(#function); \
		note(flags & O_PATH ? 's' : 'o', AT_FDCWD, path);                 \
		return real(path, flags, mode);                                   \
	}

#define TRACE_OPENAT(function)                                                    \
	int function(int dirfd, const char *path, int flags, ...)                 \
	{                                                                         \
		static int (*real)(int, const char *, int, ...);                  \
		va_list rest;                                                     \
		va_start(rest, flags);                                            \
		unsigned mode = va_arg(rest, unsigned);                           \
		va_end(rest);                                                     \
		if (!real)                                                        \
			real = (int (*)(int, const char *, int, ...))real_function(#function); \
		note(flags & O_PATH ? 's' : 'o', dirfd, path);                    \
		return real(dirfd, path, flags, mode);                            \
	}

TRACE_OPEN(open)
TRACE_OPEN(open64)
TRACE_OPENAT(openat)
TRACE_OPENAT(openat64)
/* What open() becomes under _FORTIFY_SOURCE. */
TRACE(int, __open_2, (const char *path, int flags), (path, flags), 'o', AT_FDCWD, path)
TRACE(int, __open64_2, (const char *path, int flags), (path, flags), 'o', AT_FDCWD, path)
TRACE(int, __openat_2, (int fd, const char *path, int flags), (fd, path, flags), 'o', fd, path)
TRACE(int, __openat64_2, (int fd, const char *path, int flags), (fd, path, flags), 'o', fd, path)

TRACE(void *, fopen, (const char *path, const char *mode), (path, mode), 'o', AT_FDCWD, path)
TRACE(void *, fopen64, (const char *path, const char *mode), (path, mode), 'o', AT_FDCWD, path)
TRACE(void *, freopen, (const char *path, const char *mode, void *file), (path, mode, file), 'o',
      AT_FDCWD, path)
TRACE(void *, freopen64, (const char *path, const char *mode, void *file), (path, mode, file), 'o',
      AT_FDCWD, path)

TRACE(void *, opendir, (const char *path), (path), 'o', AT_FDCWD, path)
TRACE(int, scandir, (const char *path, void *list, void *filter, void *compare),
      (path, list, filter, compare), 'o', AT_FDCWD, path)
TRACE(int, scandir64, (const char *path, void *list, void *filter, void *compare),
      (path, list, filter, compare), 'o', AT_FDCWD, path)

TRACE(int, stat, (const char *path, void *into), (path, into), 's', AT_FDCWD, path)
TRACE(int, stat64, (const char *path, void *into), (path, into), 's', AT_FDCWD, path)
TRACE(int, lstat, (const char *path, void *into), (path, into), 's', AT_FDCWD, path)
TRACE(int, lstat64, (const char *path, void *into), (path, into), 's', AT_FDCWD, path)
TRACE(int, fstatat, (int fd, const char *path, void *into, int flags), (fd, path, into, flags), 's',
      fd, path)
TRACE(int, fstatat64, (int fd, const char *path, void *into, int flags), (fd, path, into, flags),
      's', fd, path)
TRACE(int, statx, (int fd, const char *path, int flags, unsigned mask, void *into),
      (fd, path, flags, mask, into), 's', fd, path)
/* What stat() was in a program that was linked against a glibc before 2.33. */
TRACE(int, __xstat, (int version, const char *path, void *into), (version, path, into), 's',
      AT_FDCWD, path)
TRACE(int, __xstat64, (int version, const char *path, void *into), (version, path, into), 's',
      AT_FDCWD, path)
TRACE(int, __lxstat, (int version, const char *path, void *into), (version, path, into), 's',
      AT_FDCWD, path)
TRACE(int, __lxstat64, (int version, const char *path, void *into), (version, path, into), 's',
      AT_FDCWD, path)
TRACE(int, __fxstatat, (int version, int fd, const char *path, void *into, int flags),
      (version, fd, path, into, flags), 's', fd, path)
TRACE(int, __fxstatat64, (int version, int fd, const char *path, void *into, int flags),
      (version, fd, path, into, flags), 's', fd, path)

TRACE(int, access, (const char *path, int mode), (path, mode), 's', AT_FDCWD, path)
TRACE(int, eaccess, (const char *path, int mode), (path, mode), 's', AT_FDCWD, path)
TRACE(int, euidaccess, (const char *path, int mode), (path, mode), 's', AT_FDCWD, path)
TRACE(int, faccessat, (int fd, const char *path, int mode, int flags), (fd, path, mode, flags), 's',
      fd, path)

TRACE(long, readlink, (const char *path, char *into, size_t size), (path, into, size), 'l',
      AT_FDCWD, path)
TRACE(long, readlinkat, (int fd, const char *path, char *into, size_t size),
      (fd, path, into, size), 'l', fd, path)
TRACE(long, __readlink_chk, (const char *path, char *into, size_t size, size_t room),
      (path, into, size, room), 'l', AT_FDCWD, path)
TRACE(long, __readlinkat_chk, (int fd, const char *path, char *into, size_t size, size_t room),
      (fd, path, into, size, room), 'l', fd, path)
TRACE(char *, realpath, (const char *path, char *into), (path, into), 'l', AT_FDCWD, path)
TRACE(char *, __realpath_chk, (const char *path, char *into, size_t room), (path, into, room), 'l',
      AT_FDCWD, path)
TRACE(char *, canonicalize_file_name, (const char *path), (path), 'l', AT_FDCWD, path)

/* Nix makes calls that its libc does not know yet, such as openat2(2), by their number. */
long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list rest;
	va_start(rest, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(rest, long);
	va_end(rest);
	if (!real)
		real = (long (*)(long, ...))real_function("syscall");
	switch (number) {
	case SYS_openat:
		note('o', (int)a[0], (const char *)a[1]);
		break;
#ifdef SYS_openat2
	case SYS_openat2: /* its third argument points to the flags: open_how(2type) */
		note(*(unsigned long long *)a[2] & O_PATH ? 's' : 'o', (int)a[0], (const char *)a[1]);
		break;
#endif
	case SYS_readlinkat:
		note('l', (int)a[0], (const char *)a[1]);
		break;
#ifdef SYS_newfstatat
	case SYS_newfstatat:
#endif
#ifdef SYS_faccessat2
	case SYS_faccessat2:
#endif
	case SYS_statx:
	case SYS_faccessat:
		note('s', (int)a[0], (const char *)a[1]);
		break;
#ifdef SYS_open
	case SYS_open:
		note('o', AT_FDCWD, (const char *)a[0]);
		break;
	case SYS_stat:
	case SYS_lstat:
	case SYS_access:
		note('s', AT_FDCWD, (const char *)a[0]);
		break;
	case SYS_readlink:
		note('l', AT_FDCWD, (const char *)a[0]);
		break;
#endif
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
