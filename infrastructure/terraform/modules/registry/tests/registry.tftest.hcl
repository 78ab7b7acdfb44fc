mock_provider "aws" {}

variables {
  name        = "interlock-dev"
  environment = "dev"
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
}

run "tags_never_move_and_images_are_scanned_and_encrypted" {
  command = plan

  assert {
    condition     = alltrue([for r in aws_ecr_repository.this : r.image_tag_mutability == "IMMUTABLE"])
    error_message = "A tag could be moved to another image."
  }
  assert {
    condition     = alltrue([for r in aws_ecr_repository.this : r.image_scanning_configuration[0].scan_on_push])
    error_message = "Images are not scanned when pushed."
  }
  assert {
    condition = alltrue([for r in aws_ecr_repository.this :
    r.encryption_configuration[0].encryption_type == "KMS" && r.encryption_configuration[0].kms_key == var.kms_key_arn])
    error_message = "Images are not encrypted with the given key."
  }
  assert {
    condition     = toset(keys(aws_ecr_repository.this)) == toset(["platform", "dagster", "mlflow"])
    error_message = "There must be one repository per image."
  }
}

run "only_dev_may_delete_images_with_the_repository" {
  command = plan

  variables {
    environment  = "prod"
    force_delete = true
  }

  expect_failures = [var.force_delete]
}

run "a_rollback_needs_older_images" {
  command = plan

  variables {
    kept_images = 1
  }

  expect_failures = [var.kept_images]
}
