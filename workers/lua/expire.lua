-- include: names
-- include: now
-- include: loss
-- include: outcome
-- include: emit
-- include: tell
-- include: waiting
-- Cancels jobs that have been held for as long as they may be.
-- ARGV    1-2 as in names.lua, then  1 how many at the most
-- returns {how many holds were over, {[queue, need] as JSON, ...} for which jobs are held}
local now = now_ms()
redis.call('PEXPIRE', k.held_pairs, INDEX_MS) -- whatever is held is kept for as long as anybody looks after it
redis.call('PEXPIRE', k.holds, INDEX_MS)
local ids = redis.call('ZRANGEBYSCORE', k.holds, '-inf', text(now), 'LIMIT', 0, arg(1))
for _, id in ipairs(ids) do
  local fields = read(id)
  redis.call('ZREM', k.holds, id)
  if fields.held then
    local rule = fields.on_loss == 'hold' and 'max_hold_s' or 'grace_s'
    local reason = fields.held .. ' did not come back in time (' .. rule .. ')'
    cancel_one(id, fields, outcome_of('cancelled', reason, now, why_lost(fields.held, rule, now), fields.held), now)
  end
end
told()
return {#ids, redis.call('SMEMBERS', k.held_pairs)}
