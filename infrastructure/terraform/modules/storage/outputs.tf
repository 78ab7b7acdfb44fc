output "data_bucket" {
  description = "Bucket of snapshots."
  value       = { id = aws_s3_bucket.this["data"].id, arn = aws_s3_bucket.this["data"].arn }
}

output "artifact_bucket" {
  description = "Bucket of MLflow's artifacts and of what steps print."
  value       = { id = aws_s3_bucket.this["artifacts"].id, arn = aws_s3_bucket.this["artifacts"].arn }
}

output "audit_bucket" {
  description = "Bucket of the audit trail, with Object Lock."
  value       = { id = aws_s3_bucket.this["audit"].id, arn = aws_s3_bucket.this["audit"].arn }
}

output "storage_key_arn" {
  description = "KMS key that encrypts."
  value       = aws_kms_key.storage.arn
}

output "approval_key_arn" {
  description = "KMS key that approvals are signed with."
  value       = aws_kms_key.approval.arn
}

output "approval_key_alias" {
  description = "Its alias, which stays when the key changes."
  value       = aws_kms_alias.approval.name
}

output "identity_key_arn" {
  description = "KMS key that says who acts."
  value       = aws_kms_key.identity.arn
}

output "identity_key_alias" {
  description = "Its alias, which stays when the key changes."
  value       = aws_kms_alias.identity.name
}

output "public_keys" {
  description = "Public halves of the two keys that sign, PEM."
  value = {
    approval = data.aws_kms_public_key.approval.public_key_pem
    identity = data.aws_kms_public_key.identity.public_key_pem
  }
}
