-- Deletes retained events, each only if it is still the one that the caller has read.
-- KEYS    ...  for each topic: ns:retained:<topic>
-- ARGV    ...  for each topic: the retained event, as JSON
-- returns the numbers of the topics whose event was deleted, counted from 1
local FIRST_RETAINED = 1
local deleted = {}
for i = FIRST_RETAINED, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[i] then
    redis.call('DEL', KEYS[i])
    deleted[#deleted + 1] = i
  end
end
return deleted
