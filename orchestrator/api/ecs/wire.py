"""The ECS service on the wire; every file beside this one adds its noun's operations to it."""

from kit.aws.service import Service

# What agents call has members that ECS keeps to itself.
ecs = Service("ecs", unlisted=[("RegisterContainerInstanceRequest", "clientToken", "String")])
