# Planned only: what is protected against being destroyed could not be cleared away after the test.
mock_provider "aws" {
  override_during = plan

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_resource "aws_kms_key" {
    defaults = {
      arn    = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
      key_id = "11111111-2222-3333-4444-555555555555"
    }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::interlock-state-123456789012-eu-central-1" }
  }
}

variables {
  region                 = "eu-central-1"
  account_id             = "123456789012"
  owner                  = "ml-platform"
  cost_centre            = "4711"
  administrator_role_arn = "arn:aws:iam::123456789012:role/administrator"
}

run "states_are_private_and_encrypted" {
  command = plan

  assert {
    condition = (aws_s3_bucket_public_access_block.state.block_public_acls && aws_s3_bucket_public_access_block.state.block_public_policy
    && aws_s3_bucket_public_access_block.state.ignore_public_acls && aws_s3_bucket_public_access_block.state.restrict_public_buckets)
    error_message = "The state could be made public."
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_server_side_encryption_configuration.state.rule : one(rule.apply_server_side_encryption_by_default).sse_algorithm]) == "aws:kms"
    error_message = "The state is not encrypted with its key."
  }
  assert {
    condition     = aws_kms_key.state.enable_key_rotation
    error_message = "The state's key is never rotated."
  }
}

run "earlier_states_stay" {
  command = plan

  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled"
    error_message = "A lost state could not be brought back."
  }
  assert {
    condition     = contains([for s in jsondecode(aws_s3_bucket_policy.state.policy).Statement : s.Sid if s.Effect == "Deny"], "EarlierStatesStay")
    error_message = "Anybody may remove earlier states."
  }
}

run "an_account_is_twelve_digits" {
  command = plan

  variables {
    account_id = "12345"
  }

  expect_failures = [var.account_id]
}

run "one_role_administers" {
  command = plan

  variables {
    administrator_role_arn = "arn:aws:iam::123456789012:role/*"
  }

  expect_failures = [var.administrator_role_arn]
}
