"""What `clv.yaml` may say: its blocks, their defaults, and how the file is read. Nothing here opens what it names."""
