# Task definitions and services. Every container: read-only root, an ordinary user, no capability, no
# privilege, its log in CloudWatch. Fargate gives an empty folder the owner that the image's own VOLUME of
# that path has, so the images declare /tmp and /scratch as volumes.

resource "aws_ecs_task_definition" "this" {
  for_each = local.task_definitions

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = try(var.sizes[each.key].cpu, local.one_shot[each.key].cpu)
  memory                   = try(var.sizes[each.key].memory, local.one_shot[each.key].memory)
  execution_role_arn       = aws_iam_role.execution[contains(keys(local.one_shot), each.key) ? "execution-${each.key}" : "execution"].arn
  task_role_arn            = aws_iam_role.task[local.containers[each.key].duty].arn
  skip_destroy             = var.environment != "dev" # a rollback needs the revisions of before
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  dynamic "ephemeral_storage" {
    for_each = each.key == "run" ? [var.run.storage] : []

    content {
      size_in_gib = ephemeral_storage.value
    }
  }

  dynamic "volume" {
    for_each = local.containers[each.key].writable

    content {
      name = volume.value
    }
  }

  dynamic "volume" {
    for_each = local.containers[each.key].spool == null ? [] : ["spool"]

    content {
      name = volume.value

      efs_volume_configuration {
        file_system_id     = aws_efs_file_system.spool.id
        transit_encryption = "ENABLED"

        authorization_config {
          access_point_id = aws_efs_access_point.spool.id
          iam             = "ENABLED"
        }
      }
    }
  }

  container_definitions = jsonencode([merge(
    {
      name                   = each.key
      image                  = var.images[local.containers[each.key].image]
      essential              = true
      user                   = "${local.user_id}:${local.user_id}"
      privileged             = false
      readonlyRootFilesystem = true
      linuxParameters = {
        initProcessEnabled = true
        capabilities       = { add = [], drop = ["ALL"] }
      }
      # Time to write the last record; two minutes is the most that Fargate gives.
      stopTimeout    = each.key == "run" ? 120 : 30
      environment    = [for name in sort(keys(local.containers[each.key].environment)) : { name = name, value = local.containers[each.key].environment[name] }]
      secrets        = [for name in sort(keys(local.containers[each.key].secrets)) : { name = name, valueFrom = local.containers[each.key].secrets[name] }]
      systemControls = []
      volumesFrom    = []
      portMappings   = [for port in [for service, number in local.ports : number if service == each.key] : { containerPort = port, hostPort = port, protocol = "tcp" }]
      mountPoints = concat(
        [for folder in local.containers[each.key].writable : { sourceVolume = folder, containerPath = "/${folder}", readOnly = false }],
        local.containers[each.key].spool == null ? [] : [{ sourceVolume = "spool", containerPath = "/var/lib/interlock", readOnly = local.containers[each.key].spool == "ro" }],
      )
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.this[each.key].name
          awslogs-region        = local.region
          awslogs-stream-prefix = each.key
        }
      }
    },
    local.containers[each.key].command == null ? {} : { command = local.containers[each.key].command },
    local.containers[each.key].health == null ? {} : {
      healthCheck = {
        command     = local.containers[each.key].health
        interval    = 15
        timeout     = 8
        retries     = 6
        startPeriod = local.containers[each.key].start
      }
    },
  )])
}

# All services but the daemon. Terraform makes them; afterwards the delivery pipeline says which revision
# runs, and autoscaling how many.
resource "aws_ecs_service" "this" {
  for_each = setsubtract(local.services, ["dagster-daemon"])

  name                               = each.key
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this[each.key].arn
  desired_count                      = var.sizes[each.key].min
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  deployment_minimum_healthy_percent = 100 # the new task is healthy before the old one goes
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = contains([for page in local.pages : page.service], each.key) ? 120 : null
  enable_ecs_managed_tags            = true
  enable_execute_command             = false # nobody gets a shell with a task's role
  propagate_tags                     = "SERVICE"
  tags                               = var.tags

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [aws_security_group.this[local.containers[each.key].group].id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "load_balancer" {
    for_each = { for page, each_page in local.pages : page => each_page if each_page.service == each.key }

    content {
      target_group_arn = aws_lb_target_group.this[load_balancer.key].arn
      container_name   = each.key
      container_port   = local.ports[each.key]
    }
  }

  service_registries {
    registry_arn = aws_service_discovery_service.this[each.key].arn
  }

  lifecycle {
    ignore_changes = [desired_count, task_definition]
  }

  depends_on = [
    aws_efs_mount_target.spool,
    aws_iam_role_policy.execution,
    aws_iam_role_policy.task,
    aws_lb_listener_rule.page,
  ]
}

# Dagster's daemon exactly once: two of them would each start every tick of every schedule and take
# every run from the queue. So the old one stops before the new one starts, and nothing scales it. While it
# is away, runs go on and ticks are caught up.
resource "aws_ecs_service" "daemon" {
  name                               = "dagster-daemon"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this["dagster-daemon"].arn
  desired_count                      = 1
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  enable_ecs_managed_tags            = true
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"
  tags                               = var.tags

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [aws_security_group.this["dagster-daemon"].id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    ignore_changes = [task_definition]
  }

  depends_on = [aws_iam_role_policy.execution, aws_iam_role_policy.task]
}
