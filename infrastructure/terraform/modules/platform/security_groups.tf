# Which port is open to whom. A group per process; each line of `flows` is one rule on both sides, and no
# rule names a network, but the load balancer's ports (allowed_cidrs) and the ways out.

locals {
  groups = toset([
    "code-server", "dagster-webserver", "console", "dagster-daemon", "mlflow", "dagster-exporter", "drift-monitor",
    "run", "jobs", "spool", "load-balancer",
  ])
  tasks = setsubtract(local.groups, ["spool", "load-balancer"])

  flows = [
    { from = "load-balancer", to = "dagster-webserver", port = local.ports.dagster-webserver },
    { from = "load-balancer", to = "console", port = local.ports.console },
    { from = "load-balancer", to = "mlflow", port = local.ports.mlflow },
    { from = "console", to = "mlflow", port = local.ports.mlflow },
    { from = "dagster-webserver", to = "code-server", port = local.ports.code-server },
    { from = "dagster-daemon", to = "code-server", port = local.ports.code-server },
    { from = "code-server", to = "mlflow", port = local.ports.mlflow },
    { from = "run", to = "mlflow", port = local.ports.mlflow },
    { from = "jobs", to = "mlflow", port = local.ports.mlflow },
    { from = "jobs", to = "dagster-webserver", port = local.ports.dagster-webserver }, # the smoke test
    { from = "drift-monitor", to = "mlflow", port = local.ports.mlflow },
    { from = "dagster-exporter", to = "dagster-webserver", port = local.ports.dagster-webserver },
    { from = "dagster-exporter", to = "code-server", port = local.ports.code-server }, # is the port open?
    { from = "run", to = "spool", port = 2049 },
    { from = "drift-monitor", to = "spool", port = 2049 },
  ]
  flow_rules = { for flow in local.flows : "${flow.from}-to-${flow.to}" => flow }

  # Who speaks to the database. The rules on its own side are in the database module.
  database_clients = toset([
    "code-server", "dagster-webserver", "dagster-daemon", "mlflow", "run", "jobs",
    "dagster-exporter", # tries the port, nothing more
  ])

  web_rules = { for pair in setproduct(var.allowed_cidrs, [80, 443]) : "${pair[0]}-${pair[1]}" => { cidr = pair[0], port = pair[1] } }
  way_out   = { for pair in setproduct(local.tasks, var.https_egress_cidrs) : "${pair[0]}-${pair[1]}" => { group = pair[0], cidr = pair[1] } }
}

resource "aws_security_group" "this" {
  #checkov:skip=CKV2_AWS_5:Each is attached: by a service or the load balancer here, by who starts runs and jobs, through a key that the check does not follow
  for_each = local.groups

  name        = "${var.name}-${each.key}"
  description = "${each.key} of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_vpc_security_group_ingress_rule" "flow" {
  for_each = local.flow_rules

  security_group_id            = aws_security_group.this[each.value.to].id
  referenced_security_group_id = aws_security_group.this[each.value.from].id
  description                  = "From ${each.value.from}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "flow" {
  for_each = local.flow_rules

  security_group_id            = aws_security_group.this[each.value.from].id
  referenced_security_group_id = aws_security_group.this[each.value.to].id
  description                  = "To ${each.value.to}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "database" {
  for_each = local.database_clients

  security_group_id            = aws_security_group.this[each.key].id
  referenced_security_group_id = var.database.security_group_id
  description                  = "To the database"
  ip_protocol                  = "tcp"
  from_port                    = var.database.port
  to_port                      = var.database.port
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  for_each = local.tasks

  security_group_id            = aws_security_group.this[each.key].id
  referenced_security_group_id = var.endpoint_security_group_id
  description                  = "To the endpoints of the VPC: images, logs, secrets, keys"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  for_each = local.tasks

  security_group_id = aws_security_group.this[each.key].id
  prefix_list_id    = var.s3_prefix_list_id
  description       = "To S3 through its gateway endpoint: buckets, layers of images"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "out" {
  for_each = local.way_out

  security_group_id = aws_security_group.this[each.value.group].id
  cidr_ipv4         = each.value.cidr
  description       = "To ${each.value.cidr}, as https_egress_cidrs says"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "web" {
  for_each = local.web_rules

  security_group_id = aws_security_group.this["load-balancer"].id
  cidr_ipv4         = each.value.cidr
  description       = each.value.port == 80 ? "Redirected to HTTPS" : "HTTPS"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = var.tags
}

# The identity provider's addresses are not known; the load balancer asks it for tokens.
resource "aws_vpc_security_group_egress_rule" "identity_provider" {
  security_group_id = aws_security_group.this["load-balancer"].id
  cidr_ipv4         = "0.0.0.0/0"
  description       = "To the token endpoint of the identity provider"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

# The load balancer signs its tokens with keys that AWS publishes at an address without a fixed network; whoever
# checks tokens asks for them there.
resource "aws_vpc_security_group_egress_rule" "token_keys" {
  for_each = toset(["dagster-webserver", "console"])

  security_group_id = aws_security_group.this[each.key].id
  cidr_ipv4         = "0.0.0.0/0"
  description       = "To the public keys of the load balancer"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}
