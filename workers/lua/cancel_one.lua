-- Included by the scripts that cancel jobs ("-- include: cancel_one"); it is not run by itself.
--
-- cancel_one(k, id, outcome, to): a job that has not started ends as canceled, and its topic is told.
--   k         {job, queue, canceled, deferred, scheduled} as RQ names them, and log, head, topics of the topic
--   outcome   JSON from outcome_of
--   to        {channel, topic, body with "@contents@" where the contents go, limits, ended_at, keep_ms, now}
local function cancel_one(k, id, outcome, to)
  redis.call('HSET', k.job, 'status', 'canceled', 'outcome', outcome, 'ended_at', to.ended_at)
  redis.call('LREM', k.queue, 1, id)
  redis.call('ZREM', k.deferred, id)
  redis.call('ZREM', k.scheduled, id)
  redis.call('ZADD', k.canceled, text(math.floor(to.now / 1000)), id)
  redis.call('ZREMRANGEBYSCORE', k.canceled, '-inf', text(math.floor((to.now - to.keep_ms) / 1000)))
  redis.call('PEXPIRE', k.job, to.keep_ms)
  local contents = '{"job":' .. cjson.encode(id) .. ',' .. string.sub(outcome, 2)
  local body = string.gsub(to.body, '"@contents@"', function() return contents end)
  emit(k, to.channel, to.topic, body, to.limits)
end

-- cancel_keys(keys, at), cancel_to(args, at, now): the two tables above, read from a row of keys and of arguments
local function cancel_keys(keys, at)
  return {
    queue = keys[at], canceled = keys[at + 1], deferred = keys[at + 2], scheduled = keys[at + 3],
    log = keys[at + 4], head = keys[at + 5], topics = keys[at + 6],
  }
end

local function cancel_to(args, at, now)
  return {
    channel = args[at], topic = args[at + 1], body = args[at + 2], ended_at = args[at + 3], keep_ms = tonumber(args[at + 4]),
    limits = limits_from(args, at + 5), now = now,
  }
end
