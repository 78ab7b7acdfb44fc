# What GitHub's workflows may do here, without a key that lasts: they sign in with a token that GitHub
# issues for one job, and AWS believes it for one repository and one environment or branch.
#
#   images  pushes to the repositories; from the main branch alone
#   deploy  new revisions of the task definitions, rolling updates, the one-shot jobs; from the GitHub
#           environment of the same name, which asks people where it is to
#   plan    reads what exists and Terraform's state; from the GitHub environment <environment>-plan
#   watch   starts the jobs task and reads what it printed; from the GitHub environment <environment>-watch

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  policies          = "${path.module}/../../policies"
  oidc_provider_arn = var.oidc_provider_arn == null ? aws_iam_openid_connect_provider.github[0].arn : var.oidc_provider_arn

  trusts = {
    images = templatefile("${local.policies}/trust-github-branch.json.tftpl", {
      github_branch     = var.github_branch
      github_repository = var.github_repository
      oidc_provider_arn = local.oidc_provider_arn
    })
    deploy = templatefile("${local.policies}/trust-github-environment.json.tftpl", {
      github_environment = var.environment
      github_repository  = var.github_repository
      oidc_provider_arn  = local.oidc_provider_arn
    })
    plan = templatefile("${local.policies}/trust-github-environment.json.tftpl", {
      github_environment = "${var.environment}-plan"
      github_repository  = var.github_repository
      oidc_provider_arn  = local.oidc_provider_arn
    })
    watch = templatefile("${local.policies}/trust-github-environment.json.tftpl", {
      github_environment = "${var.environment}-watch"
      github_repository  = var.github_repository
      oidc_provider_arn  = local.oidc_provider_arn
    })
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.oidc_provider_arn == null ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
  tags           = var.tags
}

resource "aws_iam_role" "this" {
  for_each = local.trusts

  name                 = "${var.name}-delivery-${each.key}"
  description          = "GitHub workflows of ${var.github_repository}: ${each.key}"
  assume_role_policy   = each.value
  max_session_duration = 3600 # seconds; the least that IAM allows
  tags                 = var.tags
}

resource "aws_iam_role_policy" "this" {
  for_each = aws_iam_role.this

  name = each.key
  role = each.value.name
  policy = templatefile("${local.policies}/delivery-${each.key}.json.tftpl", {
    account_id              = data.aws_caller_identity.current.account_id
    cluster_arn             = var.cluster_arn
    cluster_name            = var.cluster_name
    dagster_repository_arn  = var.repository_arns["dagster"]
    environment             = var.environment
    mlflow_repository_arn   = var.repository_arns["mlflow"]
    name                    = var.name
    oidc_client_secret_arn  = var.oidc_client_secret_arn
    partition               = data.aws_partition.current.partition
    platform_repository_arn = var.repository_arns["platform"]
    region                  = data.aws_region.current.region
    state_bucket_arn        = var.state_bucket_arn
    state_key_arn           = var.state_key_arn
    storage_key_arn         = var.storage_key_arn
  })
}
