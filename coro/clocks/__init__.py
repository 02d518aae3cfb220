"""Clocks for programs that come from Shrapnel."""
