# A role per duty. What each may do is in ../../policies/task-<duty>.json.tftpl, which a property test
# reads as well (platform_tests/unit/infrastructure). The Dagster exporter and the job that makes the
# databases ask AWS for nothing: their roles have no policy at all.

locals {
  duties = toset(["run", "code-server", "webserver", "console", "daemon", "mlflow", "monitoring", "jobs"])
  idle   = toset(["exporter", "databases"])

  # What the templates name. Every template takes what it needs of it.
  policy_values = {
    account_id                 = local.account_id
    approval_key_arn           = var.signing.approval_key_arn
    artifact_bucket_arn        = var.artifact_bucket.arn
    audit_bucket_arn           = var.audit_bucket.arn
    audit_prefix               = local.audit_prefix
    cluster_arn                = aws_ecs_cluster.this.arn
    cluster_name               = local.cluster_name
    dagster_secret_arn         = var.database.dagster_secret_arn
    data_bucket_arn            = var.data_bucket.arn
    environment                = var.environment
    exporter_token_secret_arn  = aws_secretsmanager_secret.token["exporter"].arn
    identity_key_arn           = var.signing.identity_key_arn
    jobs_token_secret_arn      = aws_secretsmanager_secret.token["jobs"].arn
    master_secret_arn          = var.database.master_secret_arn
    mlflow_secret_arn          = var.database.mlflow_secret_arn
    name                       = var.name
    partition                  = local.partition
    region                     = local.region
    run_execution_role_arn     = aws_iam_role.execution["execution-run"].arn
    run_task_definition_family = "${var.name}-run"
    run_task_role_arn          = aws_iam_role.task["run"].arn
    secrets_key_arn            = var.kms_key_arn
    signing_key_secret_arn     = aws_secretsmanager_secret.signing_key.arn
    spool_access_point_arn     = aws_efs_access_point.spool.arn
    spool_arn                  = aws_efs_file_system.spool.arn
    storage_key_arn            = var.storage_key_arn
  }

  trust_ecs_tasks = templatefile("${local.policies}/trust-ecs-tasks.json.tftpl", {
    account_id = local.account_id
    partition  = local.partition
    region     = local.region
  })
}

resource "aws_iam_role" "task" {
  for_each = setunion(local.duties, local.idle)

  name               = "${var.name}-task-${each.key}"
  description        = "What the ${each.key} tasks of ${var.name} may do"
  assume_role_policy = local.trust_ecs_tasks
  tags               = var.tags
}

resource "aws_iam_role_policy" "task" {
  for_each = local.duties

  name   = each.key
  role   = aws_iam_role.task[each.key].name
  policy = templatefile("${local.policies}/task-${each.key}.json.tftpl", local.policy_values)
}

# What ECS itself needs to start a container: image, log stream, secrets. Who starts tasks may give them any
# role that they may pass, in place of the task's own. So whatever is started by name has a role of its
# own here, which reads the secrets of its family and no others; the services share the last one, which nobody
# who starts tasks may pass.
resource "aws_iam_role" "execution" {
  for_each = toset(concat(["execution"], [for family in keys(local.one_shot) : "execution-${family}"]))

  name               = "${var.name}-${each.key}"
  description        = "Starts containers of ${var.name}"
  assume_role_policy = local.trust_ecs_tasks
  tags               = var.tags
}

resource "aws_iam_role_policy" "execution" {
  for_each = aws_iam_role.execution

  name   = each.key
  role   = each.value.name
  policy = templatefile("${local.policies}/${each.key}.json.tftpl", local.policy_values)
}
