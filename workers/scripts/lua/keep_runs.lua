-- include: notify.server.now
-- Keeps the entries of runs whose worker has its lease: it lives, however late its heartbeat is by a clock that was wrong or jumped. RQ's
-- maintenance, which comes next, takes all other entries whose time is over for abandoned.
-- KEYS    started  rq:wip:<queue>
--         leases   ns:leases
-- ARGV    keep_s   for how many seconds an entry is kept
-- returns the clock of the server, in seconds
local started, leases = unpack(KEYS)
local keep_s = ARGV[1]
local now_s = math.floor(now_ms() / 1000)
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', started, '-inf', text(now_s))) do
  local id, fence = string.match(entry, '^(.*):([^:]*)$')
  local known = id and redis.pcall('HMGET', k.job .. id, 'fence', 'worker_name', 'stopped') or {}
  if known[2] and redis.call('ZSCORE', leases, known[2]) then
    if known[1] == fence or known[3] == fence then
      redis.call('ZADD', started, text(now_s + keep_s), entry)
    elseif known[1] then
      redis.call('ZREM', started, entry) -- another run has the job: RQ would end that
    end
  end
end
return now_s
