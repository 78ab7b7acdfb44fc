mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name              = "interlock-dev"
  environment       = "dev"
  github_repository = "example/interlock"
  repository_arns = {
    platform = "arn:aws:ecr:eu-central-1:123456789012:repository/interlock-dev/platform"
    dagster  = "arn:aws:ecr:eu-central-1:123456789012:repository/interlock-dev/dagster"
    mlflow   = "arn:aws:ecr:eu-central-1:123456789012:repository/interlock-dev/mlflow"
  }
  cluster_arn            = "arn:aws:ecs:eu-central-1:123456789012:cluster/interlock-dev"
  cluster_name           = "interlock-dev"
  oidc_client_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:oidc-AbCdEf"
  state_bucket_arn       = "arn:aws:s3:::interlock-state"
  state_key_arn          = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  storage_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/22222222-2222-3333-4444-555555555555"
}

run "each_role_is_bound_to_one_repository_and_one_place" {
  assert {
    condition = {
      for role, each_role in aws_iam_role.this : role => jsondecode(each_role.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"]
      } == {
      deploy = "repo:example/interlock:environment:dev"
      images = "repo:example/interlock:ref:refs/heads/main"
      plan   = "repo:example/interlock:environment:dev-plan"
      watch  = "repo:example/interlock:environment:dev-watch"
    }
    error_message = "A role can be taken from elsewhere."
  }
  assert {
    condition = alltrue([for role in aws_iam_role.this :
    jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"])
    error_message = "A token for somebody else is accepted."
  }
  assert {
    condition     = alltrue([for role in aws_iam_role.this : !strcontains(role.assume_role_policy, "StringLike") && role.max_session_duration == 3600])
    error_message = "A trust has wildcards, or a session lasts longer than an hour."
  }
}

run "who_deploys_hands_on_the_roles_of_tasks_alone" {
  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_role_policy.this["deploy"].policy).Statement :
    alltrue([for resource in statement.Resource : strcontains(resource, ":role/interlock-dev-")]) && statement.Condition.StringEquals["iam:PassedToService"] == "ecs-tasks.amazonaws.com" if contains(statement.Action, "iam:PassRole")])
    error_message = "Other roles can be handed on."
  }
  assert {
    condition = alltrue([for role in ["images", "plan"] :
    !strcontains(aws_iam_role_policy.this[role].policy, "iam:PassRole") && !strcontains(aws_iam_role_policy.this[role].policy, "ecs:RunTask")])
    error_message = "Who pushes or plans could start tasks."
  }
}

run "who_plans_reads_the_state_of_this_environment_alone" {
  assert {
    condition = toset(flatten([for statement in jsondecode(aws_iam_role_policy.this["plan"].policy).Statement :
      statement.Resource if contains(statement.Action, "s3:GetObject")
      ])) == toset([
      "arn:aws:s3:::interlock-state/interlock/dev.tfstate",
      "arn:aws:s3:::interlock-dev-artifacts-123456789012/_interlock/environment.json",
      "arn:aws:s3:::interlock-dev-audit-123456789012/_interlock/environment.json",
      "arn:aws:s3:::interlock-dev-data-123456789012/_interlock/environment.json",
    ])
    error_message = "A plan reads objects of others."
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.this["plan"].policy).Statement :
    statement.Condition.StringEquals["s3:prefix"] if contains(statement.Action, "s3:ListBucket")] == [["interlock/dev.tfstate", "env:/"]]
    error_message = "A plan lists states of others."
  }
}

run "who_watches_starts_the_jobs_task_alone" {
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.this["watch"].policy).Statement :
    statement.Resource if contains(statement.Action, "ecs:RunTask")] == [["arn:aws:ecs:eu-central-1:123456789012:task-definition/interlock-dev-jobs:*"]]
    error_message = "Another task can be started."
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.this["watch"].policy).Statement :
    statement.Condition.ArnEquals["ecs:cluster"] if contains(statement.Action, "ecs:RunTask")] == [var.cluster_arn]
    error_message = "Tasks can be started in another cluster."
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.this["watch"].policy).Statement :
      statement.Resource if contains(statement.Action, "iam:PassRole")
    ] == [["arn:aws:iam::123456789012:role/interlock-dev-task-jobs", "arn:aws:iam::123456789012:role/interlock-dev-execution-jobs"]]
    error_message = "Another role can be handed on."
  }
}

run "an_existing_provider_is_used" {
  variables {
    oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "A second provider is made."
  }
}

run "any_repository_of_an_owner_is_refused" {
  command = plan

  variables {
    github_repository = "example/*"
  }

  expect_failures = [var.github_repository]
}

run "any_branch_is_refused" {
  command = plan

  variables {
    github_branch = "*"
  }

  expect_failures = [var.github_branch]
}
