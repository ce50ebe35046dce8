"""Campaigns with a control group: who is left out by lot, what the contact added, what the next plan learns of it."""
