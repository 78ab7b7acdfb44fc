variable "names" {
  description = "What a password is made for."
  type        = set(string)

  validation {
    condition     = length(var.names) > 0
    error_message = "names holds at least one name."
  }
}
