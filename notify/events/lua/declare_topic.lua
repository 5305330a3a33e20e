-- include: notify.server.now
-- Makes a topic known before its first event.
-- KEYS    topics  ns:topics
-- ARGV    topic
--         topics_ms  lifetime of the set of topics
-- returns 1 if the topic was unknown, else 0
local topics = KEYS[1]
local topic, topics_ms = unpack(ARGV)
local added = redis.call('ZADD', topics, 'NX', text(now_ms()), topic)
redis.call('PEXPIRE', topics, topics_ms)
return added
