-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.server.whole
-- Finds the jobs of a schedule that are due and that a living worker has loaded. Other due jobs wait for such a worker, and are
-- forgotten after a day.
-- KEYS    cron          ns:cron
--         cron_due      ns:cron_due
--         cron_workers  ns:cron_workers
--         cron_last     ns:cron_last
--         leases        ns:leases
--         clock         ns:clock
-- ARGV    longest_wait_ms  the longest wait to answer
-- returns {now in ms, ms until the next job is due, ms by which the clock was put back since the last look, name, due_ms,
--          specification, name, ...}; after the clock was put back nothing is due before cron_plan was called
local cron, cron_due, cron_workers, cron_last, leases, clock = unpack(KEYS)
local longest_wait_ms = ARGV[1]
local now, wait, found = now_ms(), tonumber(longest_wait_ms), {}
for _, key in ipairs({cron, cron_due, cron_workers, cron_last}) do
  redis.call('PEXPIRE', key, WEEK_MS)
end

local JUMP_MS = 2000 -- a clock that was put back by less is not worth a new plan
local looked_at = whole(redis.pcall('HGET', clock, 'cron_ms'), 0)
if looked_at - now > JUMP_MS then return {text(now), 0, text(looked_at - now)} end
redis.call('HSET', clock, 'cron_ms', text(now))
redis.call('PEXPIRE', clock, WEEK_MS)
local was_ahead = looked_at > 0 and now - looked_at > HOUR_MS -- perhaps the clock jumped, and no worker has renewed its lease yet

local function loaded_names()
  local names, loads = {}, redis.call('HGETALL', cron_workers)
  for i = 1, #loads, 2 do
    local worker, lease = loads[i], redis.call('ZSCORE', leases, loads[i])
    if not lease then
      redis.call('HDEL', cron_workers, worker)
    elseif whole(lease, 0, 0, now + DAY_MS) > now then
      local readable, loaded = pcall(cjson.decode, loads[i + 1])
      for _, name in ipairs(readable and type(loaded) == 'table' and loaded or {}) do
        names[name] = true
      end
    end
  end
  return names
end

local due = redis.call('ZRANGEBYSCORE', cron_due, '-inf', text(now), 'WITHSCORES', 'LIMIT', 0, 1000)
local names = due[1] and loaded_names()
for i = 1, #due, 2 do
  local name, at = due[i], due[i + 1]
  if not whole(at) then -- written by hand
    at = text(now)
    redis.call('ZADD', cron_due, at, name)
  end
  if names[name] then
    found[#found + 1] = name
    found[#found + 1] = at
    found[#found + 1] = redis.call('HGET', cron, name) or ''
  elseif now - at > DAY_MS and not was_ahead then
    redis.call('ZREM', cron_due, name)
    redis.call('HDEL', cron, name)
    redis.call('HDEL', cron_last, name)
  end
end
local next_one = redis.call('ZRANGEBYSCORE', cron_due, '(' .. text(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
return {text(now), math.min(wait, next_one and next_one - now or wait), 0, unpack(found)}
