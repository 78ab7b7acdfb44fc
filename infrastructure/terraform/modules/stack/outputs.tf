output "addresses" {
  description = "Where people go, and what the two host names have to point at."
  value = {
    dagster       = "https://${var.site.hosts.dagster}"
    mlflow        = "https://${var.site.hosts.mlflow}"
    grafana       = module.observability.grafana_endpoint
    load_balancer = module.platform.alb_dns_name
  }
}

output "buckets" {
  description = "Names of the three buckets."
  value = {
    data      = module.storage.data_bucket.id
    artifacts = module.storage.artifact_bucket.id
    audit     = module.storage.audit_bucket.id
  }
}

output "approval" {
  description = "The key that approvals are signed with, and the role that may."
  value = {
    key_alias = module.storage.approval_key_alias
    key_arn   = module.storage.approval_key_arn
    role_arn  = aws_iam_role.approver.arn
  }
}

output "database_secret_arns" {
  description = "Where Secrets Manager keeps the passwords of the database."
  value = {
    master  = module.database.master_secret_arn
    dagster = module.database.dagster_secret_arn
    mlflow  = module.database.mlflow_secret_arn
  }
}

output "delivery" {
  description = "What the workflows need: roles, repositories, cluster, alarms to watch."
  value = {
    images_role_arn = module.delivery.images_role_arn
    deploy_role_arn = module.delivery.deploy_role_arn
    plan_role_arn   = module.delivery.plan_role_arn
    watch_role_arn  = module.delivery.watch_role_arn
    repositories    = module.registry.repository_urls
    cluster         = module.platform.cluster_name
    services        = module.platform.service_names
    alarms          = module.observability.alarm_names
    subnets         = module.network.private_subnet_ids
    security_group  = module.platform.jobs_security_group_id
  }
}

output "prometheus_endpoint" {
  description = "Address of Managed Prometheus."
  value       = module.observability.prometheus_endpoint
}
