"""What people and runs do, one file each: authorise, record, do, record. No Dagster here."""
