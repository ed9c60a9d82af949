"""Meters that speak by themselves: who listens where, and what becomes of what is heard."""
