"""What can go wrong with a lab."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.core.errors import OrchestratorError


class LabError(OrchestratorError):
    """The lab could not do what it was asked."""


class LabRequirementError(LabError):
    """This machine lacks something that a lab needs; nothing was done."""

    exit_code: ClassVar[int] = 2
