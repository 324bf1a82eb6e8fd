"""ectopy."""
