output "endpoint" {
  description = "Host name of the writer."
  value       = aws_rds_cluster.this.endpoint
}

output "port" {
  description = "Port of the database."
  value       = local.port
}

output "cluster_identifier" {
  description = "The cluster, as CloudWatch names it."
  value       = aws_rds_cluster.this.cluster_identifier
}

output "master_secret_arn" {
  description = "Secret of the administrator, {username, password}; made and rotated by RDS."
  value       = aws_rds_cluster.this.master_user_secret[0].secret_arn
}

output "dagster_secret_arn" {
  description = "Secret of the user dagster, {username, password}."
  value       = aws_secretsmanager_secret.user["dagster"].arn
  depends_on  = [aws_secretsmanager_secret_version.user] # who is handed the secret can read it
}

output "mlflow_secret_arn" {
  description = "Secret of the user mlflow, {username, password}."
  value       = aws_secretsmanager_secret.user["mlflow"].arn
  depends_on  = [aws_secretsmanager_secret_version.user] # who is handed the secret can read it
}

output "security_group_id" {
  description = "Security group of the database."
  value       = aws_security_group.this.id
}
