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
-- ARGV    longest_wait_ms  the longest wait to answer
-- returns {now in ms, ms until the next job is due, name, due_ms, specification, name, ...}
local cron, cron_due, cron_workers, cron_last, leases = unpack(KEYS)
local longest_wait_ms = ARGV[1]
local now, wait, found = now_ms(), tonumber(longest_wait_ms), {}
for _, key in ipairs({cron, cron_due, cron_workers, cron_last}) do
  redis.call('PEXPIRE', key, WEEK_MS)
end

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
  elseif now - at > DAY_MS then
    redis.call('ZREM', cron_due, name)
    redis.call('HDEL', cron, name)
    redis.call('HDEL', cron_last, name)
  end
end
local next_one = redis.call('ZRANGEBYSCORE', cron_due, '(' .. text(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
return {text(now), math.min(wait, next_one and next_one - now or wait), unpack(found)}
