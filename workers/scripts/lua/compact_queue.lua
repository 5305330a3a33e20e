-- Takes out of the list of a queue what waits there no more, a part of the list at a time, from its end to its beginning.
-- KEYS    1 rq:queue:<name>
-- ARGV    1 how many at the end were looked at and stay  2 how many to look at  3 how the key of a job begins
-- returns {how many at the end stay by now, 1 if there are more before them or else 0}
local stay, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local ids = redis.call('LRANGE', KEYS[1], -stay - count, -stay - 1)
local gone = 0
for i, id in ipairs(ids) do
  local status = redis.pcall('HGET', ARGV[3] .. id, 'status')
  if status ~= 'queued' then
    redis.call('LSET', KEYS[1], -stay - #ids + i - 1, '')
    gone = gone + 1
  end
end
if gone > 0 then
  redis.call('LREM', KEYS[1], -gone, '') -- from the end: past those that stay, and no further
end
return {stay + #ids - gone, #ids == count and 1 or 0}
