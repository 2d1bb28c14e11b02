"""Tuning: studies, their trials and where they are kept."""
