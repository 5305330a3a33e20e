-- include: workers.scripts.transitions
-- Cancels jobs whose hold is over, unless their need is there by now, or was and is overdue.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         count  how many at most
-- returns {how many holds were over, {[queue, need] as JSON, ...} for which jobs are held}
local count = unpack(ARGV, OWN)
local jobs = transitions()
local now = now_ms()
redis.call('PEXPIRE', k.held_pairs, INDEX_MS) -- held jobs are kept as long as a leader calls this
redis.call('PEXPIRE', k.holds, INDEX_MS)
local ids = redis.call('ZRANGEBYSCORE', k.holds, '-inf', text(now), 'LIMIT', 0, count)
for _, id in ipairs(ids) do
  local fields = jobs.read(id)
  local held = fields.status == 'deferred' and fields.held
  local rule = fields.on_loss == 'hold' and 'max_hold_s' or 'grace_s'
  if held and presence(held) ~= 'gone' then -- release_held is about to put it back; if the need is lost again, the time of the hold begins anew
    local most_ms = whole(fields.on_loss == 'hold' and fields.max_hold_ms or fields.grace_ms, 0, 0, YEAR_MS)
    redis.call('ZADD', k.holds, text(now + most_ms), id)
  else
    redis.call('ZREM', k.holds, id)
    if held then
      local reason = held .. ' did not come back in time (' .. rule .. ')'
      jobs.cancel(id, fields, jobs.cancellation_of(reason, now, why_lost(held, rule, now), held), now)
    end
  end
end
flush_changes(now)
return {#ids, redis.call('SMEMBERS', k.held_pairs)}
