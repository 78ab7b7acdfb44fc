output "deploy_role_arn" {
  description = "Role that rolls out new revisions."
  value       = aws_iam_role.this["deploy"].arn
}

output "images_role_arn" {
  description = "Role that pushes images."
  value       = aws_iam_role.this["images"].arn
}

output "plan_role_arn" {
  description = "Role that reads what a plan needs."
  value       = aws_iam_role.this["plan"].arn
}

output "watch_role_arn" {
  description = "Role that starts the nightly jobs."
  value       = aws_iam_role.this["watch"].arn
}

output "oidc_provider_arn" {
  description = "GitHub's identity provider in this account."
  value       = local.oidc_provider_arn
}
