mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name        = "interlock-dev"
  environment = "dev"
  cidr        = "10.20.0.0/16"
  zones       = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "tasks_are_in_private_subnets_of_three_zones" {
  assert {
    condition     = length(output.private_subnet_ids) == 3 && toset([for s in aws_subnet.private : s.availability_zone]) == toset(var.zones)
    error_message = "There must be a private subnet in each zone."
  }
  assert {
    condition     = alltrue([for s in concat(values(aws_subnet.private), values(aws_subnet.public), values(aws_subnet.database)) : s.map_public_ip_on_launch != true])
    error_message = "A subnet hands out public addresses."
  }
  assert {
    condition = length(distinct([for s in concat(values(aws_subnet.private), values(aws_subnet.public), values(aws_subnet.database)) :
    s.cidr_block])) == 9
    error_message = "Subnets share addresses."
  }
  assert {
    condition     = [for zone in var.zones : aws_subnet.private[zone].cidr_block] == ["10.20.0.0/19", "10.20.32.0/19", "10.20.64.0/19"]
    error_message = "Private subnets are not the first three eighths."
  }
  assert {
    condition     = aws_subnet.public["eu-central-1a"].cidr_block == "10.20.192.0/22" && aws_subnet.database["eu-central-1a"].cidr_block == "10.20.224.0/22"
    error_message = "Public and database subnets lie in the last two eighths."
  }
}

run "without_a_nat_gateway_there_is_no_way_out" {
  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_eip.nat) == 0 && length(aws_route.private_out) == 0
    error_message = "A private subnet has a way out."
  }
}

run "one_nat_gateway_serves_all_zones" {
  variables {
    nat_gateways = 1
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["eu-central-1a"] && length(aws_route.private_out) == 3
    error_message = "One gateway must serve all three zones."
  }
}

run "three_nat_gateways_serve_a_zone_each" {
  variables {
    nat_gateways = 3
  }

  assert {
    condition     = toset(keys(aws_nat_gateway.this)) == toset(var.zones)
    error_message = "Each zone must have a gateway of its own."
  }
  assert {
    condition     = alltrue([for zone, route in aws_route.private_out : route.nat_gateway_id == aws_nat_gateway.this[zone].id])
    error_message = "A zone goes out through another zone's gateway."
  }
}

run "the_database_has_no_way_out" {
  variables {
    nat_gateways = 3
  }

  assert {
    condition     = alltrue([for a in aws_route_table_association.database : a.route_table_id == aws_route_table.database.id])
    error_message = "A database subnet has another route table."
  }
  assert {
    condition = alltrue([for route in concat(values(aws_route.private_out), [aws_route.public_out]) :
    route.route_table_id != aws_route_table.database.id])
    error_message = "A route leads out of the database's subnets."
  }
}

run "ports_are_closed" {
  assert {
    condition     = length(aws_default_security_group.closed.ingress) == 0 && length(aws_default_security_group.closed.egress) == 0
    error_message = "The default security group is open."
  }
  assert {
    condition = (aws_vpc_security_group_ingress_rule.endpoints.from_port == 443 && aws_vpc_security_group_ingress_rule.endpoints.to_port == 443
    && aws_vpc_security_group_ingress_rule.endpoints.cidr_ipv4 == "10.20.0.0/16")
    error_message = "Endpoints answer on another port, or to another network."
  }
}

run "aws_services_are_reached_inside_the_vpc" {
  assert {
    condition = alltrue([for service in ["ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "kms", "logs", "secretsmanager"] :
    aws_vpc_endpoint.interface[service].service_name == "com.amazonaws.eu-central-1.${service}" && aws_vpc_endpoint.interface[service].private_dns_enabled])
    error_message = "An endpoint is missing, or has no private name."
  }
  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && length(aws_vpc_endpoint.s3.route_table_ids) >= 1
    error_message = "S3 has no gateway endpoint."
  }
}

run "flow_logs_are_encrypted_and_complete" {
  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_flow_log.this.log_destination == aws_cloudwatch_log_group.flow.arn
    error_message = "Flow logs leave something out."
  }
  assert {
    condition     = aws_cloudwatch_log_group.flow.kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.flow.retention_in_days == 365
    error_message = "Flow logs are not encrypted, or not kept."
  }
}

run "three_zones_are_needed" {
  command = plan

  variables {
    zones = ["eu-central-1a", "eu-central-1b"]
  }

  expect_failures = [var.zones]
}

run "a_zone_counts_once" {
  command = plan

  variables {
    zones = ["eu-central-1a", "eu-central-1b", "eu-central-1b"]
  }

  expect_failures = [var.zones]
}

run "a_small_network_is_refused" {
  command = plan

  variables {
    cidr = "10.20.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "what_is_no_network_is_refused" {
  command = plan

  variables {
    cidr = "10.20.0.0"
  }

  expect_failures = [var.cidr]
}

run "more_gateways_than_zones_are_refused" {
  command = plan

  variables {
    nat_gateways = 4
  }

  expect_failures = [var.nat_gateways]
}

run "endpoints_that_tasks_need_cannot_be_left_out" {
  command = plan

  variables {
    interface_endpoints = ["logs", "kms"]
  }

  expect_failures = [var.interface_endpoints]
}

run "another_environment_is_refused" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "a_retention_that_cloudwatch_lacks_is_refused" {
  command = plan

  variables {
    flow_log_retention_days = 100
  }

  expect_failures = [var.flow_log_retention_days]
}
