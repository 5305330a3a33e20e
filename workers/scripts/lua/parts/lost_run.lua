-- include: workers.scripts.prefixes
-- include: notify.server.lifetimes
-- include: workers.scripts.outcome
-- include: workers.scripts.history
-- The loss of a need by a run.
--
-- mark_lost(id, fence, on_loss, need, now): marks the run as stopped, or as stopped to be held, because it has lost a need. Whatever its
--     process does now, the run ends so
local function mark_lost(id, fence, on_loss, need, now)
  local job, policy = k.job .. id, on_loss or 'cancel'
  local status = policy == 'hold' and 'held' or 'stopped'
  local outcome = outcome_of(status, need .. ' is gone', now, why_lost(need, 'on_loss=' .. policy, now), need)
  if status == 'stopped' then
    redis.call('HSET', job, 'status', 'stopped')
    redis.call('PEXPIRE', job, k.keep_ms) -- in case its worker is dead and never records the end
  end
  redis.call('HSET', job, 'stopped', fence, 'outcome', outcome)
  redis.call('HDEL', job, 'fence')
  note_loss(policy, need)
  write_notes()
end
