-- include: notify.server.now
-- Which jobs of a rhythm are due, of those that a living worker has loaded: others wait until one has, and are forgotten after a day.
-- KEYS    1 ns:cron  2 ns:cron_due  3 ns:cron_workers  4 ns:cron_last  5 ns:leases
-- ARGV    1 ms to wait at the most
-- returns {now in ms, ms until the next one is due, name, due_ms, specification, name, ...}
local DAY = 86400000
local now, wait, found = now_ms(), tonumber(ARGV[1]), {}
for i = 1, 4 do
  redis.call('PEXPIRE', KEYS[i], 7 * DAY)
end

local function loaded()
  local names, by = {}, redis.call('HGETALL', KEYS[3])
  for i = 1, #by, 2 do
    local lease = redis.call('ZSCORE', KEYS[5], by[i])
    if not lease then
      redis.call('HDEL', KEYS[3], by[i])
    elseif tonumber(lease) > now then
      local readable, loads = pcall(cjson.decode, by[i + 1])
      for _, name in ipairs(readable and type(loads) == 'table' and loads or {}) do
        names[name] = true
      end
    end
  end
  return names
end

local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text(now), 'WITHSCORES', 'LIMIT', 0, 1000)
local names = due[1] and loaded()
for i = 1, #due, 2 do
  local name, at = due[i], due[i + 1]
  if names[name] then
    found[#found + 1] = name
    found[#found + 1] = at
    found[#found + 1] = redis.call('HGET', KEYS[1], name) or ''
  elseif now - at > DAY then
    redis.call('ZREM', KEYS[2], name)
    redis.call('HDEL', KEYS[1], name)
    redis.call('HDEL', KEYS[4], name)
  end
end
local next_one = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. text(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
return {text(now), math.min(wait, next_one and next_one - now or wait), unpack(found)}
