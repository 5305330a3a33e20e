"""Lets the clock of the server jump, as far as Notify and RQ can tell: the times and lifetimes that Redis holds move the other way."""

from typing import Any

import notify

__all__ = ["jump"]

JUMP = """
local ahead_s = tonumber(ARGV[1])
local namespace = ARGV[2]

local function shift_scores(key, ahead)
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    redis.call('ZINCRBY', key, string.format('%.0f', -ahead), member)
  end
end

local function shift_fields(key, fields)
  for _, field in ipairs(fields) do
    if redis.call('HEXISTS', key, field) == 1 then
      redis.call('HINCRBY', key, field, string.format('%.0f', -ahead_s * 1000))
    end
  end
end

for _, key in ipairs(redis.call('KEYS', '*')) do
  local own = string.match(key, '^' .. namespace .. ':(.*)$')
  if own == 'due' or own == 'leases' or own == 'cron_due' or own == 'holds' or own == 'dependents' then
    shift_scores(key, ahead_s * 1000)
  elseif string.find(key, '^rq:wip:') or string.find(key, '^rq:executions:') or string.find(key, '^rq:scheduled:') then
    shift_scores(key, ahead_s)
  elseif own == 'sweep' then
    shift_fields(key, {'grace_ms', 'held_ms', 'heard_ms', 'duty_ms', 'slot_ms', 'at_ms'})
  elseif own and string.find(own, '^service:') then
    shift_fields(key, {'beat_ms', 'told_ms', 'registered_ms'})
  elseif own == 'clock' then
    shift_fields(key, {'at_ms', 'cron_ms'})
  elseif own == 'renewed' then
    redis.call('INCRBY', key, string.format('%.0f', -ahead_s * 1000))
  end
  local left = redis.call('PTTL', key)
  if left >= 0 then
    redis.call('PEXPIRE', key, string.format('%.0f', left - ahead_s * 1000))
  end
end
"""


def jump(bus: notify.Bus, ahead_s: float) -> None:
    """Let the clock of the server jump ahead, or back if the number is negative, between two commands.

    The clock of the machine cannot be set in a test. What is compared with it can: this moves all that is stored, in one step. It leaves
    out what only names an instant: ids of events and jobs, and serials of losses.
    """
    run: Any = bus.redis.eval
    run(JUMP, 0, str(ahead_s), bus.keys.namespace)
