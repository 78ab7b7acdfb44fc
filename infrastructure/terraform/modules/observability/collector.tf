# Scrapes what prometheus.yml says, sends all of it to Managed Prometheus, and one metric, the runs that
# wait, also to CloudWatch, where the platform's autoscaling reads it.

locals {
  prometheus = yamldecode(var.prometheus_configuration)

  # Parts of the composed stack that AWS runs itself and that give no metrics to scrape here.
  replaced_by_aws = ["prometheus", "alertmanager", "minio", "minio-bucket"]
  scraped         = [for job in local.prometheus.scrape_configs : job if !contains(local.replaced_by_aws, job.job_name)]

  # The same jobs; `mlflow:5000` becomes `mlflow.<namespace>:5000`.
  scrape_configs = [for job in local.scraped : merge(job, {
    static_configs = [for group in job.static_configs : merge(group, {
      targets = [for target in group.targets : replace(target, "/^([a-z0-9-]+):/", "$${1}.${var.namespace}:")]
    })]
  })]

  # Which port of whom is opened to the collector follows from the jobs as well.
  targets = merge([for job in local.scraped : merge([for group in job.static_configs : {
    for target in group.targets : split(":", target)[0] => tonumber(split(":", target)[1])
  }]...)]...)

  collector_configuration = yamlencode({
    extensions = {
      health_check = { endpoint = "127.0.0.1:13133" }
      sigv4auth    = { region = local.region, service = "aps" }
    }
    receivers = {
      prometheus = {
        config = {
          global         = { for key in ["scrape_interval", "scrape_timeout"] : key => local.prometheus.global[key] }
          scrape_configs = local.scrape_configs
        }
      }
    }
    processors = {
      batch                    = {}
      memory_limiter           = { check_interval = "1s", limit_percentage = 75, spike_limit_percentage = 20 }
      "filter/queue"           = { error_mode = "propagate", metrics = { metric = ["name != \"pipeline_runs_active\""] } } # what is dropped
      "attributes/environment" = { actions = [{ key = "environment", value = var.environment, action = "upsert" }] }
    }
    exporters = {
      prometheusremotewrite = {
        endpoint = "${aws_prometheus_workspace.this.prometheus_endpoint}api/v1/remote_write"
        auth     = { authenticator = "sigv4auth" }
      }
      awsemf = {
        region                  = local.region
        namespace               = "Interlock"
        log_group_name          = aws_cloudwatch_log_group.metrics.name
        log_stream_name         = "queue"
        dimension_rollup_option = "NoDimensionRollup"
        metric_declarations = [{
          dimensions            = [["environment", "status"]]
          metric_name_selectors = ["^pipeline_runs_active$"]
        }]
      }
    }
    service = {
      extensions = ["health_check", "sigv4auth"]
      pipelines = {
        "metrics/prometheus" = {
          receivers  = ["prometheus"]
          processors = ["memory_limiter", "batch"]
          exporters  = ["prometheusremotewrite"]
        }
        "metrics/queue" = {
          receivers  = ["prometheus"]
          processors = ["memory_limiter", "filter/queue", "attributes/environment"]
          exporters  = ["awsemf"]
        }
      }
    }
  })
}

resource "aws_cloudwatch_log_group" "collector" {
  name              = "/interlock/${var.environment}/collector"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

# CloudWatch makes the metric of the events in here.
resource "aws_cloudwatch_log_group" "metrics" {
  #checkov:skip=CKV_AWS_338:Figures, of which CloudWatch keeps the metric for 15 months
  name              = "/interlock/${var.environment}/metrics"
  retention_in_days = 7
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_iam_role" "collector" {
  name        = "${var.name}-task-collector"
  description = "What the collector of ${var.name} may do"
  assume_role_policy = templatefile("${local.policies}/trust-ecs-tasks.json.tftpl", {
    account_id = local.account_id
    partition  = local.partition
    region     = local.region
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "collector" {
  name = "collector"
  role = aws_iam_role.collector.name
  policy = templatefile("${local.policies}/task-collector.json.tftpl", {
    metrics_log_group_arn    = aws_cloudwatch_log_group.metrics.arn
    prometheus_workspace_arn = aws_prometheus_workspace.this.arn
  })
}

resource "aws_security_group" "collector" {
  name        = "${var.name}-collector"
  description = "Collector of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-collector" })
}

resource "aws_vpc_security_group_ingress_rule" "scraped" {
  for_each = local.targets

  security_group_id            = var.scrape_security_group_ids[each.key]
  referenced_security_group_id = aws_security_group.collector.id
  description                  = "From the collector"
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "scraped" {
  for_each = local.targets

  security_group_id            = aws_security_group.collector.id
  referenced_security_group_id = var.scrape_security_group_ids[each.key]
  description                  = "To ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  security_group_id            = aws_security_group.collector.id
  referenced_security_group_id = var.endpoint_security_group_id
  description                  = "To the endpoints of the VPC"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "out" {
  for_each = var.https_egress_cidrs

  security_group_id = aws_security_group.collector.id
  cidr_ipv4         = each.key
  description       = "To ${each.key}, as https_egress_cidrs says"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_ecs_task_definition" "collector" {
  family                   = "${var.name}-collector"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = var.execution_role_arn
  task_role_arn            = aws_iam_role.collector.arn
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  container_definitions = jsonencode([{
    name                   = "collector"
    image                  = var.collector_image
    essential              = true
    user                   = "10001:10001"
    privileged             = false
    readonlyRootFilesystem = true
    linuxParameters        = { initProcessEnabled = true, capabilities = { add = [], drop = ["ALL"] } }
    # A dollar sign begins a variable in the collector's configuration.
    environment    = [{ name = "AOT_CONFIG_CONTENT", value = replace(local.collector_configuration, "$", "$$") }]
    mountPoints    = []
    portMappings   = []
    secrets        = []
    systemControls = []
    volumesFrom    = []
    healthCheck    = { command = ["CMD", "/healthcheck"], interval = 15, timeout = 5, retries = 6, startPeriod = 30 }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.collector.name
        awslogs-region        = local.region
        awslogs-stream-prefix = "collector"
      }
    }
  }])
}

# One: a second one would send every sample twice.
resource "aws_ecs_service" "collector" {
  name                               = "collector"
  cluster                            = var.cluster_arn
  task_definition                    = aws_ecs_task_definition.collector.arn
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
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.collector.id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  depends_on = [aws_iam_role_policy.collector]
}
