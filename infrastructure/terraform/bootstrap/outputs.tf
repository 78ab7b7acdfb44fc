output "bucket" {
  description = "Name of the bucket, for backend.hcl."
  value       = aws_s3_bucket.state.id
}

output "state" {
  description = "What each environment takes as its variable state."
  value       = { bucket_arn = aws_s3_bucket.state.arn, key_arn = aws_kms_key.state.arn }
}
