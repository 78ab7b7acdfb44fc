# The way in: HTTPS alone, sign-in at the identity provider first, then Dagster, the console or MLflow by host name. Code
# server, exporters and the database are not reachable from here.

locals {
  pages = {
    dagster = { service = "dagster-webserver", host = var.hosts.dagster, health = "/healthz", priority = 10 }
    console = { service = "console", host = var.hosts.console, health = "/healthz", priority = 30 }
    mlflow  = { service = "mlflow", host = var.hosts.mlflow, health = "/health", priority = 20 }
  }
}

# The one secret that the state holds: the load balancer's interface knows no other way to hand it over.
data "aws_secretsmanager_secret_version" "oidc" {
  secret_id = var.oidc.client_secret_arn
}

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_28:Only networks of allowed_cidrs reach it, and the identity provider stands before every page; a web ACL is the account's choice
  name                       = var.name
  load_balancer_type         = "application"
  internal                   = var.internal
  subnets                    = var.public_subnet_ids
  security_groups            = [aws_security_group.this["load-balancer"].id]
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.deletion_protection
  idle_timeout               = 300 # Dagster's pages keep a WebSocket open
  tags                       = var.tags

  access_logs {
    bucket  = aws_s3_bucket.access_logs.id
    prefix  = "alb"
    enabled = true
  }

  depends_on = [aws_s3_bucket_policy.access_logs]
}

resource "aws_lb_target_group" "this" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; from there it is one hop inside the VPC, open to its security group alone
  for_each = local.pages

  name                 = "${var.name}-${each.key}"
  port                 = local.ports[each.value.service]
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = var.vpc_id
  deregistration_delay = 30
  tags                 = var.tags

  health_check {
    path                = each.value.health
    matcher             = "200"
    interval            = 15
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 4
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"
  tags              = var.tags

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn
  tags              = var.tags

  # Who comes with another host name learns nothing.
  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "not found"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "page" {
  for_each = local.pages

  listener_arn = aws_lb_listener.https.arn
  priority     = each.value.priority
  tags         = var.tags

  condition {
    host_header {
      values = [each.value.host]
    }
  }

  action {
    type  = "authenticate-oidc"
    order = 1

    authenticate_oidc {
      issuer                     = var.oidc.issuer
      authorization_endpoint     = var.oidc.authorization_endpoint
      token_endpoint             = var.oidc.token_endpoint
      user_info_endpoint         = var.oidc.user_info_endpoint
      client_id                  = var.oidc.client_id
      client_secret              = data.aws_secretsmanager_secret_version.oidc.secret_string
      scope                      = "openid email profile"
      session_timeout            = 28800 # seconds; a working day
      on_unauthenticated_request = "authenticate"
    }
  }

  action {
    type             = "forward"
    order            = 2
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }
}

# Who asked for what. Load balancers write with S3's own key only.
resource "aws_s3_bucket" "access_logs" {
  #checkov:skip=CKV_AWS_18:This is where access logs go
  #checkov:skip=CKV_AWS_144:Access logs of one load balancer are not worth a second region
  #checkov:skip=CKV_AWS_145:Load balancers write access logs with S3's own key only
  #checkov:skip=CKV2_AWS_62:Nothing waits for an access log
  bucket        = "${var.name}-alb-logs-${local.account_id}"
  force_destroy = var.force_destroy
  tags          = var.tags
}

resource "aws_s3_bucket_public_access_block" "access_logs" {
  bucket                  = aws_s3_bucket.access_logs.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.log_retention_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.access_logs]
}

resource "aws_s3_bucket_policy" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id
  policy = templatefile("${local.policies}/bucket-access-logs.json.tftpl", {
    account_id = local.account_id
    bucket_arn = aws_s3_bucket.access_logs.arn
  })

  depends_on = [aws_s3_bucket_public_access_block.access_logs]
}
