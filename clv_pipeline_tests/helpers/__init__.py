"""What tests of several rooms share. No test imports another test: what two of them need stands here."""
