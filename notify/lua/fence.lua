-- Included by every fenced write ("-- include: fence"); it is not run by itself.
--
-- stands(service, fence) -> whether a write may go through
--   service  ns:service:<name>
--   fence    "" no fence, "*" the service must be registered, else it must be registered as this incarnation
local function stands(service, fence)
  if fence == '' then return true end
  local incarnation = redis.call('HGET', service, 'incarnation')
  return incarnation and (fence == '*' or incarnation == fence)
end
