-- include: notify.events.append
-- include: notify.server.now
-- include: notify.directory.change
-- include: notify.directory.deadline
-- The heartbeats of services, each of one incarnation. They never bring back what was withdrawn.
-- KEYS    1 ns:due  2 ns:suspects  3 ns:services  4 ns:log:services  5 ns:topic:services  6 ns:topics
--         7... ns:service:<name>, ns:tombstone:<name>, for each service
-- ARGV    1 channel of services  2 its topic  3 body of the announcement that one is back  4-6 limits
--         7... name, incarnation, ttl_ms, for each service
-- returns for each: "alive", or why it is not: "killed", "withdrawn", "expired" or "gone" (the directory does not know)
local now = now_ms()

local function forget(keys, service, described)
  -- Nobody withdrew it, somebody deleted a part of it: what is left goes too, so that it can have its name again.
  redis.call('ZREM', KEYS[1], service.member)
  redis.call('SREM', KEYS[2], service.member)
  if not described or described == service.incarnation then
    redis.call('DEL', keys.service)
    redis.call('SREM', KEYS[3], service.name)
  end
end

local function recover(keys, service)
  redis.call('SREM', KEYS[2], service.member)
  redis.call('HINCRBY', keys.service, 'flaps', 1)
  local says = redis.call('HMGET', keys.service, 'quiet', 'provides', 'groups')
  if says[1] then
    redis.call('HDEL', keys.service, 'quiet')  -- nobody was told that it was suspected
  else
    local body = announcement(ARGV[3], service.name, service.incarnation, says[2], says[3])
    emit({log = KEYS[4], head = KEYS[5], topics = KEYS[6]}, ARGV[1], ARGV[2], body, limits_from(ARGV, 4))
  end
end

local function beat(keys, service, ttl_ms)
  local was = redis.pcall('HMGET', keys.service, 'incarnation', 'state')  -- one that was spoilt by hand must not stop the others
  if was[1] ~= service.incarnation or not redis.call('ZSCORE', KEYS[1], service.member) then
    local stone = redis.call('HMGET', keys.tombstone, 'incarnation', 'reason')
    if stone[1] == service.incarnation then return stone[2] end
    forget(keys, service, was[1])
    return 'gone'
  end
  redis.call('ZADD', KEYS[1], text(now + suspect_after(ttl_ms)), service.member)
  redis.call('HSET', keys.service, 'beat_ms', text(now), 'state', 'alive')
  redis.call('PEXPIRE', keys.service, ttl_ms + 3600000)
  if was[2] == 'suspect' then
    recover(keys, service)
  end
  return 'alive'
end

local answers = {}
for i = 7, #KEYS, 2 do
  local at = #answers * 3 + 7
  local service = {name = ARGV[at], incarnation = ARGV[at + 1], member = ARGV[at] .. '#' .. ARGV[at + 1]}
  table.insert(answers, beat({service = KEYS[i], tombstone = KEYS[i + 1]}, service, ARGV[at + 2]))
end
return answers
