output "values" {
  description = "A password for each name: 40 letters and digits, others at every plan."
  value       = { for name in var.names : name => ephemeral.aws_secretsmanager_random_password.this[name].random_password }
  ephemeral   = true
  sensitive   = true
}
