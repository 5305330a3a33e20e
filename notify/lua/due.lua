-- include: now
-- What the sweep has to look at now.
-- KEYS    1 ns:due
-- ARGV    1 members at the most
-- returns {{member, ...}, ms until the next one is due or -1}
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, ARGV[1])
local next_one = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {due, next_one[2] and (tonumber(next_one[2]) - now) or -1}
