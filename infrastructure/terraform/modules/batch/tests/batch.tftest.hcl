mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                  = "interlock-dev"
  environment           = "dev"
  subnet_ids            = ["subnet-0a", "subnet-0b", "subnet-0c"]
  run_security_group_id = "sg-run"
  run_task_role_arn     = "arn:aws:iam::123456789012:role/interlock-dev-task-run"
  execution_role_arn    = "arn:aws:iam::123456789012:role/interlock-dev-execution-run"
  image                 = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/interlock-dev/platform:0.1.0"
  environment_variables = { ENVIRONMENT = "dev" }
  secrets               = { RUN_SIGNING_KEY = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key-AbCdEf" }
  spool                 = { file_system_id = "fs-0123456789abcdef0", access_point_id = "fsap-0123456789abcdef0" }
  log_group_name        = "/interlock/dev/run"
}

run "a_job_is_what_a_run_is" {
  assert {
    condition = alltrue([for definition in aws_batch_job_definition.run : alltrue([
      jsondecode(definition.container_properties).image == var.image,
      jsondecode(definition.container_properties).jobRoleArn == var.run_task_role_arn,
      jsondecode(definition.container_properties).executionRoleArn == var.execution_role_arn,
      jsondecode(definition.container_properties).environment == [{ name = "ENVIRONMENT", value = "dev" }],
    ])])
    error_message = "A job has another image, role or environment than a run."
  }
  assert {
    condition = alltrue([for definition in aws_batch_job_definition.run : alltrue([
      jsondecode(definition.container_properties).readonlyRootFilesystem,
      !jsondecode(definition.container_properties).privileged,
      jsondecode(definition.container_properties).user == "10001:10001",
    ])])
    error_message = "A job may write to its root file system, is privileged, or runs as root."
  }
  assert {
    condition     = jsondecode(aws_batch_job_definition.run["burst"].container_properties).networkConfiguration.assignPublicIp == "DISABLED"
    error_message = "A job has a public address."
  }
  assert {
    condition     = alltrue([for definition in aws_batch_job_definition.run : !strcontains(jsonencode(jsondecode(definition.container_properties).environment), "SIGNING")])
    error_message = "A secret is an environment value."
  }
}

run "only_an_interruption_is_tried_again" {
  assert {
    condition = alltrue([for definition in aws_batch_job_definition.run :
    [for rule in definition.retry_strategy[0].evaluate_on_exit : rule.on_status_reason if lower(rule.action) == "retry"] == ["Host EC2*"]])
    error_message = "More than an interruption is tried again."
  }
}

run "an_empty_queue_costs_nothing" {
  assert {
    condition     = aws_batch_compute_environment.spot.compute_resources[0].min_vcpus == 0 && aws_batch_compute_environment.spot.compute_resources[0].type == "SPOT"
    error_message = "Machines wait for work."
  }
  assert {
    condition     = toset(keys(aws_batch_job_queue.this)) == toset(["burst", "spot"])
    error_message = "There are two queues."
  }
  assert {
    condition     = aws_batch_compute_environment.burst.compute_resources[0].type == "FARGATE" && aws_batch_compute_environment.burst.compute_resources[0].max_vcpus == 64
    error_message = "Bursts are without limit."
  }
}

run "machines_are_encrypted_and_keep_their_role_to_themselves" {
  assert {
    condition     = aws_launch_template.instance.metadata_options[0].http_tokens == "required" && aws_launch_template.instance.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "A container could take the instance's role."
  }
  assert {
    condition     = aws_launch_template.instance.block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "Disks are not encrypted."
  }
}

run "a_moving_tag_is_refused" {
  command = plan

  variables {
    image = "x/platform:latest"
  }

  expect_failures = [var.image]
}

run "a_secret_in_place_of_its_address_is_refused" {
  command = plan

  variables {
    secrets = { RUN_SIGNING_KEY = "s3cr3t" }
  }

  expect_failures = [var.secrets]
}

run "a_size_that_fargate_does_not_offer_is_refused" {
  command = plan

  variables {
    job = { vcpus = 3 }
  }

  expect_failures = [var.job]
}
