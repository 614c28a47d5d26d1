"""How much of the service one caller may use: token buckets, in Redis or in this process."""

from pss_kernel.limits._bucket import Bucket, Take, Taken
from pss_kernel.limits._classes import LimitClass, RateLimits
from pss_kernel.limits._limiter import Limiter

__all__ = ["Bucket", "LimitClass", "Limiter", "RateLimits", "Take", "Taken"]
