output "stack" {
  description = "Addresses, buckets, keys, and what the workflows need."
  value       = module.stack
}
