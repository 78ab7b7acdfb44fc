# AWS Batch for training bursts: more runs, or larger ones, than the ECS cluster is meant to hold. Dagster's
# launcher submits a run tagged `interlock/compute: burst` here. Two queues, each with a compute environment
# that costs nothing while it is empty:
#
#   burst  Fargate: starts within a minute or two, never interrupted
#   spot   EC2 spot instances: about a third of the price, may be interrupted; for work that can start over
#
# A job is what a run is: same image, role, variables, secrets, security group. Batch wants a job definition
# per kind of machine, so there are two, of one text.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.region
  policies   = "${path.module}/../../policies"

  # Batch's own service-linked role. Whoever uses Batch for the first time in an account makes it with
  # `aws iam create-service-linked-role --aws-service-name batch.amazonaws.com`.
  service_role_arn = "arn:${local.partition}:iam::${local.account_id}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"

  container = {
    image                  = var.image
    command                = ["dagster", "api", "execute_run", "--help"] # the launcher replaces it
    user                   = "10001:10001"
    privileged             = false
    readonlyRootFilesystem = true
    jobRoleArn             = var.run_task_role_arn
    executionRoleArn       = var.execution_role_arn
    environment            = [for name in sort(keys(var.environment_variables)) : { name = name, value = var.environment_variables[name] }]
    secrets                = [for name in sort(keys(var.secrets)) : { name = name, valueFrom = var.secrets[name] }]
    linuxParameters        = { initProcessEnabled = true }
    resourceRequirements = [
      { type = "MEMORY", value = tostring(var.job.memory) },
      { type = "VCPU", value = tostring(var.job.vcpus) },
    ]
    volumes = [
      { name = "tmp" },
      { name = "scratch" },
      {
        name = "spool"
        efsVolumeConfiguration = {
          fileSystemId        = var.spool.file_system_id
          transitEncryption   = "ENABLED"
          authorizationConfig = { accessPointId = var.spool.access_point_id, iam = "ENABLED" }
        }
      },
    ]
    mountPoints = [
      { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
      { sourceVolume = "scratch", containerPath = "/scratch", readOnly = false },
      { sourceVolume = "spool", containerPath = "/var/lib/interlock", readOnly = false },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.log_group_name
        awslogs-region        = local.region
        awslogs-stream-prefix = "batch"
      }
    }
  }

  definitions = {
    burst = {
      name         = "${var.name}-run"
      capabilities = ["FARGATE"]
      container = merge(local.container, {
        networkConfiguration         = { assignPublicIp = "DISABLED" }
        fargatePlatformConfiguration = { platformVersion = "LATEST" }
        runtimePlatform              = { operatingSystemFamily = "LINUX", cpuArchitecture = var.cpu_architecture }
        ephemeralStorage             = { sizeInGiB = 100 }
      })
    }
    spot = {
      name         = "${var.name}-run-spot"
      capabilities = ["EC2"]
      container    = local.container
    }
  }
}

resource "aws_batch_compute_environment" "burst" {
  name         = "${var.name}-burst"
  type         = "MANAGED"
  state        = "ENABLED"
  service_role = local.service_role_arn
  tags         = var.tags

  compute_resources {
    type               = "FARGATE"
    max_vcpus          = var.max_vcpus
    subnets            = var.subnet_ids
    security_group_ids = [var.run_security_group_id]
  }
}

resource "aws_batch_compute_environment" "spot" {
  name         = "${var.name}-spot"
  type         = "MANAGED"
  state        = "ENABLED"
  service_role = local.service_role_arn
  tags         = var.tags

  compute_resources {
    type                = "SPOT"
    allocation_strategy = "SPOT_PRICE_CAPACITY_OPTIMIZED" # the pools that are least likely to be taken back
    instance_type       = var.instance_types
    instance_role       = aws_iam_instance_profile.instance.arn
    min_vcpus           = 0
    max_vcpus           = var.max_vcpus
    subnets             = var.subnet_ids
    security_group_ids  = [var.run_security_group_id]
    tags                = merge(var.tags, { Name = "${var.name}-spot" })

    ec2_configuration {
      image_type = "ECS_AL2023"
    }

    launch_template {
      launch_template_id = aws_launch_template.instance.id
      version            = tostring(aws_launch_template.instance.latest_version)
    }
  }

  update_policy {
    job_execution_timeout_minutes = 240
    terminate_jobs_on_update      = false
  }

  lifecycle {
    ignore_changes = [compute_resources[0].desired_vcpus] # Batch's own business
  }
}

resource "aws_batch_job_queue" "this" {
  for_each = {
    burst = aws_batch_compute_environment.burst.arn
    spot  = aws_batch_compute_environment.spot.arn
  }

  name     = "${var.name}-${each.key}"
  state    = "ENABLED"
  priority = 1
  tags     = var.tags

  compute_environment_order {
    order               = 1
    compute_environment = each.value
  }
}

resource "aws_batch_job_definition" "run" {
  for_each = local.definitions

  name                       = each.value.name
  type                       = "container"
  platform_capabilities      = each.value.capabilities
  container_properties       = jsonencode(each.value.container)
  propagate_tags             = true
  deregister_on_new_revision = true
  tags                       = var.tags

  # Only what a spot interruption cut off is tried again; a run that failed would fail again, and was
  # recorded as failed. Dagster's launcher asks for a single attempt of its own runs, whatever stands
  # here: a second attempt is a new run, with its own audit stream.
  retry_strategy {
    attempts = 3

    evaluate_on_exit {
      on_status_reason = "Host EC2*"
      action           = "retry"
    }

    evaluate_on_exit {
      on_reason = "*"
      action    = "exit"
    }
  }

  timeout {
    attempt_duration_seconds = var.job.timeout
  }
}

# The machines of the spot environment: disk encrypted with EC2's own key, which the services that start
# machines may use without further ado, no public address, and an instance role that
# containers cannot reach (a hop limit of one ends at the host).
resource "aws_launch_template" "instance" {
  name                   = "${var.name}-spot"
  update_default_version = true
  tags                   = var.tags

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      encrypted             = true
      volume_size           = 100
      volume_type           = "gp3"
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(var.tags, { Name = "${var.name}-spot" })
  }
}

resource "aws_iam_role" "instance" {
  name               = "${var.name}-batch-instance"
  description        = "Lets instances of the spot environment join their ECS cluster"
  assume_role_policy = templatefile("${local.policies}/trust-ec2.json.tftpl", {})
  tags               = var.tags
}

resource "aws_iam_role_policy" "instance" {
  name = "batch-instance"
  role = aws_iam_role.instance.name
  policy = templatefile("${local.policies}/batch-instance.json.tftpl", {
    account_id  = local.account_id
    environment = var.environment
    name        = var.name
    partition   = local.partition
    region      = local.region
  })
}

resource "aws_iam_instance_profile" "instance" {
  name = "${var.name}-batch-instance"
  role = aws_iam_role.instance.name
  tags = var.tags
}
