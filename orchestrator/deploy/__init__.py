"""What happens: plans are carried out, events are emitted, every host ends at a proven state."""
