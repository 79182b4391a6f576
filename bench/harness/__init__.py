"""What the questions share: clocks, records, problems, peers."""
