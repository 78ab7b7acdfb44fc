output "cluster_arn" {
  description = "ARN of the ECS cluster."
  value       = aws_ecs_cluster.this.arn
}

output "cluster_name" {
  description = "Name of the ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "alb_dns_name" {
  description = "DNS name of the load balancer; point both host names at it."
  value       = aws_lb.this.dns_name
}

output "alb_zone_id" {
  description = "Hosted zone of the load balancer, for alias records."
  value       = aws_lb.this.zone_id
}

output "alb_arn_suffix" {
  description = "The load balancer, as CloudWatch names it."
  value       = aws_lb.this.arn_suffix
}

output "target_group_arn_suffixes" {
  description = "The target groups of Dagster and MLflow, as CloudWatch names them."
  value       = { for page, group in aws_lb_target_group.this : page => group.arn_suffix }
}

output "namespace" {
  description = "Private DNS namespace in which the services are found."
  value       = aws_service_discovery_private_dns_namespace.this.name
}

output "run_task_definition_family" {
  description = "Family of the task definition that every run is a task of."
  value       = aws_ecs_task_definition.this["run"].family
}

output "run_task_role_arn" {
  description = "Role of runs."
  value       = aws_iam_role.task["run"].arn
}

output "execution_role_arn" {
  description = "Role with which ECS starts the containers of services."
  value       = aws_iam_role.execution["execution"].arn
}

output "run_execution_role_arn" {
  description = "Role with which ECS and Batch start runs; it reads the secrets of runs alone."
  value       = aws_iam_role.execution["execution-run"].arn
}

output "task_role_arns" {
  description = "Role of each duty."
  value       = { for duty, role in aws_iam_role.task : duty => role.arn }
}

output "service_names" {
  description = "Name of each ECS service, by what it is called in docker-compose.yml."
  value       = merge({ for service, each_service in aws_ecs_service.this : service => each_service.name }, { dagster-daemon = aws_ecs_service.daemon.name })
}

output "run_security_group_id" {
  description = "Security group of runs."
  value       = aws_security_group.this["run"].id
}

output "jobs_security_group_id" {
  description = "Security group of the one-shot jobs."
  value       = aws_security_group.this["jobs"].id
}

output "database_client_security_group_ids" {
  description = "Security groups that may speak to the database, by who they belong to."
  value       = { for client in local.database_clients : client => aws_security_group.this[client].id }
}

output "scrape_security_group_ids" {
  description = "Security groups of what gives metrics, by its name in prometheus.yml."
  value       = { for service in ["dagster-exporter", "drift-monitor", "mlflow"] : service => aws_security_group.this[service].id }
}

output "log_group_names" {
  description = "CloudWatch log group of each service and job."
  value       = { for each_name, group in aws_cloudwatch_log_group.this : each_name => group.name }
}

output "run_environment" {
  description = "Environment variables of a run, for Batch."
  value       = local.run_environment
}

output "run_secrets" {
  description = "Secrets of a run by variable: where Secrets Manager keeps them, not what they are."
  value       = local.run_secrets
}

output "spool" {
  description = "File system and access point where runs keep audit records that S3 did not take."
  value = {
    file_system_id  = aws_efs_file_system.spool.id
    access_point_id = aws_efs_access_point.spool.id
  }
}
