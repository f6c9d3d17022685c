-- Takes or renews a lease.
--
-- ARGV: the name, the owner, the time to live in milliseconds. Answers with the epoch, 0 while somebody else has
-- it. Epochs are at least the log time in microseconds, so they grow even after everything was deleted.

local name, owner, ttl = take(3)
local key = prefix .. 'lease:' .. name
local moment = now()
local time = math.floor(moment / 1000)
local held = redis.call('HMGET', key, 'owner', 'epoch', 'until')
local epoch = held[2]
if held[1] and held[1] ~= '' and tonumber(held[3]) > time then
    if held[1] ~= owner then
        return 0
    end
else
    epoch = text(math.max(tonumber(epoch or '0') + 1, moment))
end
redis.call('HSET', key, 'owner', owner, 'epoch', epoch, 'until', text(time + tonumber(ttl)))
return tonumber(epoch)
