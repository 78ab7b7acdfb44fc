mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_region" {
  defaults = { region = "eu-central-1" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/interlock-dev-database-monitoring" }
}

mock_resource "aws_rds_cluster" {
  defaults = {
    endpoint = "interlock-dev.cluster-x.eu-central-1.rds.amazonaws.com"
    master_user_secret = [{
      kms_key_id    = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
      secret_arn    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-AbCdEf"
      secret_status = "active"
    }]
  }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = {
    id  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:interlock-dev/database/user-AbCdEf"
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:interlock-dev/database/user-AbCdEf"
  }
}
