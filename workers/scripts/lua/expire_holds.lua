-- include: workers.scripts.transitions
-- include: workers.scripts.clock_jump
-- Cancels jobs whose hold is over, unless their need is there by now, or was and is overdue.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         count       how many at most
--         before_ms   the clock as the caller's last call returned it, or ""
--         elapsed_ms  how long ago that was at least, by the caller's own watch
-- returns {how many holds were over, {[queue, need] as JSON, ...} for which jobs are held, the clock in ms}
local count, before_ms, elapsed_ms = unpack(ARGV, OWN)
local jobs = transitions()
local now = now_ms()
redis.call('PEXPIRE', k.held_pairs, INDEX_MS) -- held jobs are kept as long as a leader calls this
redis.call('PEXPIRE', k.holds, INDEX_MS)

-- After a jump of the clock all holds are moved with it, for they are to last for a time and not until one.
local jumped_ms = jumps_until(k.clock, now, before_ms, elapsed_ms)
local jump_ms = jumped_ms - whole(redis.call('HGET', k.clock, 'holds_jumped_ms'), 0, -LARGEST)

local function time_of_hold(fields)
  return whole(fields.on_loss == 'hold' and fields.max_hold_ms or fields.grace_ms, 0, 0, YEAR_MS)
end

if jump_ms ~= 0 then
  local all = redis.call('ZRANGE', k.holds, 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local until_ms, latest_ms = whole(all[i + 1], now), now + time_of_hold(jobs.read(all[i]))
    if jump_ms > 0 or until_ms > latest_ms then -- else it may have begun after the jump
      redis.call('ZADD', k.holds, text(math.min(math.max(until_ms + jump_ms, now), latest_ms)), all[i])
    end
  end
end
redis.call('HSET', k.clock, 'holds_jumped_ms', text(jumped_ms))

local ids = redis.call('ZRANGEBYSCORE', k.holds, '-inf', text(now), 'LIMIT', 0, count)
for _, id in ipairs(ids) do
  local fields = jobs.read(id)
  local held = fields.status == 'deferred' and fields.held
  local rule = fields.on_loss == 'hold' and 'max_hold_s' or 'grace_s'
  if held and presence(held) ~= 'gone' then -- release_held is about to put it back; if the need is lost again, the time of the hold begins anew
    redis.call('ZADD', k.holds, text(now + time_of_hold(fields)), id)
  else
    redis.call('ZREM', k.holds, id)
    if held then
      local reason = held .. ' did not come back in time (' .. rule .. ')'
      jobs.cancel(id, fields, jobs.cancellation_of(reason, now, why_lost(held, rule, now), held), now)
    end
  end
end
flush_changes(now)
return {#ids, redis.call('SMEMBERS', k.held_pairs), text(now)}
