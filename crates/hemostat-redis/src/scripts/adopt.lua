-- Puts the keys of a shadow in the place of a log that is not there yet.
--
-- ARGV: what the keys of the shadow begin with, then their names. Answers with 1; 0 where there is a log, and nothing was
-- changed. What agents that wait for the log have left (signs of life, leases, groups without a stream) goes or stays.

local from = take(1)
if redis.call('EXISTS', KEYS[1], prefix .. 'streams') > 0 then
    return 0
end
for _ = 2, #ARGV do
    local name = take(1)
    redis.call('RENAME', from .. name, prefix .. name)
end
return 1
